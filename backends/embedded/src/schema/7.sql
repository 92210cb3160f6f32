-- What becomes of a plugin's answers: enforce or monitor.
ALTER TABLE plugins ADD COLUMN mode TEXT;
