// npm's oidc-provider on a free loopback port, with one application and everybody as user. Prints its port, then
// waits for a line on standard input: the addresses that are registered. Ends with its standard input.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const server = createServer((request, response) => response.writeHead(503).end());
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));

createInterface({ input: process.stdin })
  .on("line", line => {
    const { redirect_uri, post_logout_redirect_uri } = JSON.parse(line);
    const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
      clients: [
        {
          client_id: "gatekeeper",
          client_secret: "a secret & more: of~this/test",
          redirect_uris: [redirect_uri],
          post_logout_redirect_uris: [post_logout_redirect_uri],
        },
      ],
      claims: { email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
      findAccount: (_context, id) => ({
        accountId: id,
        claims: () => ({
          sub: id,
          name: "Kim Example",
          preferred_username: `${id}@example.com`,
          email: `${id}@example.com`,
          email_verified: true,
        }),
      }),
      cookies: { keys: ["a key of this test"] },
    });
    server.removeAllListeners("request");
    server.on("request", provider.callback());
    console.log(JSON.stringify({ ready: true }));
  })
  .on("close", () => process.exit(0));
