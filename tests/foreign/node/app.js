// A service that knows nothing of Pivot: it calls the address it is given and hands the answer back.
const { createRequire } = require("node:module");
const load = createRequire(process.cwd() + "/");
const { NodeSDK } = load("@opentelemetry/sdk-node");
const { HttpInstrumentation } = load("@opentelemetry/instrumentation-http");

new NodeSDK({ instrumentations: [new HttpInstrumentation()], metricReaders: [], spanProcessors: [] }).start();
const http = require("node:http");

const server = http.createServer((request, response) => {
  const to = new URL(request.url, "http://here").searchParams.get("to");
  http.get(to, (reply) => reply.pipe(response)).on("error", (error) => response.writeHead(502).end(String(error)));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
