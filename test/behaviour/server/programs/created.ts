/** A program with its options in code; the environment has them, so that a test can say what they are. */
import process from 'node:process';
import { httpService, Server, type CreateOptions } from 'sluice';

const options = JSON.parse(process.env['OPTIONS'] ?? '{}') as CreateOptions;
const server = Server.create(options);

server.addService(
  httpService((session) => session.respondJson(200, server.configuration)).addTcp('127.0.0.1:0'),
);
await server.run();
