-- What an alert waits for, why there is one, and what it became part of. parts is how many others its message holds,
-- once that is closed.
ALTER TABLE alerts ADD COLUMN kind TEXT NOT NULL DEFAULT 'raised';
ALTER TABLE alerts ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alerts ADD COLUMN waits TEXT;
ALTER TABLE alerts ADD COLUMN next_try INTEGER;
ALTER TABLE alerts ADD COLUMN part_of TEXT;
ALTER TABLE alerts ADD COLUMN parts INTEGER;
CREATE INDEX alerts_by_whole ON alerts (part_of) WHERE part_of IS NOT NULL;
CREATE INDEX alerts_by_job ON alerts (job, place);
