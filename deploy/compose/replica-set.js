// Makes the replica set of deploy/compose.yaml, once, and waits until it takes writes.

const members = ["mongo-1", "mongo-2", "mongo-3"].map((host, _id) => ({ _id, host: `${host}:27017` }));
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "sandclock", members });
}
while (!rs.status().members.some((member) => member.stateStr === "PRIMARY")) sleep(500);
