/**
 * An origin for machines without nginx: answers everything with one text.
 *
 *     node bench/support/peers/node-origin.ts PORT TEXT
 */
import { createServer } from 'node:http';

const [port, text = ''] = process.argv.slice(2);
const head = { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) };

const server = createServer((_request, response) => response.writeHead(200, head).end(text));
server.keepAliveTimeout = 300_000;
server.listen(Number(port), '127.0.0.1');
