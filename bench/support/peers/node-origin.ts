/**
 * An origin for machines without nginx: answers with one text, with a file, or
 * to an upload once it has all of it.
 *
 *     node bench/support/peers/node-origin.ts PORT TEXT FOLDER
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, join } from 'node:path';

const [port, text = '', folder = '.'] = process.argv.slice(2);
const head = { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) };

const server = createServer((request, response) => {
  const { url = '/' } = request;
  if (url.startsWith('/files/')) sendFile(join(folder, 'files', basename(url)), response);
  else if (request.method === 'POST') takeUpload(request, response);
  else response.writeHead(200, head).end(text);
});
server.keepAliveTimeout = 300_000;
server.listen(Number(port), '127.0.0.1');

function sendFile(path: string, response: ServerResponse): void {
  response.writeHead(200, { 'content-length': statSync(path).size });
  createReadStream(path).pipe(response);
}

function takeUpload(request: IncomingMessage, response: ServerResponse): void {
  let received = 0;
  request.on('data', (piece: Buffer) => (received += piece.length));
  request.on('end', () => response.writeHead(200, { ...head, 'x-received': received }).end(text));
}
