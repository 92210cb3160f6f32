// A real OpenID provider (npm's oidc-provider) with a few people, for tests. Whoever gives a name as the login is that
// person; no password is looked at. It says on standard error where it listens.
//
//   node provider.mjs FOLDER CLIENT SECRET     FOLDER has node_modules
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createServer } from "node:http";

const [folder, client, secret] = process.argv.slice(2);
const found = createRequire(`${folder}/package.json`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const people = {
  alice: { groups: ["ops", "staff"], email_verified: true },
  bob: { groups: [], email_verified: true },
  // Says that it is alice, and nobody has looked.
  mallory: { groups: [], email_verified: false, email: "alice@example.org" },
};

const configuration = {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      // So the port of a loopback address may be any (RFC 8252, section 7.3).
      application_type: "native",
      redirect_uris: ["http://127.0.0.1/auth/callback"],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, groups: [], ...people[id] }),
  }),
  pkce: { required: () => true },
  cookies: { keys: ["for tests"] },
};

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  server.on("request", provider.callback());
  console.error(`ready at ${issuer}`);
});
