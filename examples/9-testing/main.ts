/** Runs what proxy.ts makes. */
import { httpProxyService, Server } from 'sluice';
import { gateway } from './proxy.ts';

const { LISTEN = '127.0.0.1:6188', ORIGINS = '127.0.0.1:9101,127.0.0.1:9102' } = process.env;

const server = Server.fromArgs();
server.addService(httpProxyService(gateway(ORIGINS.split(','))).addTcp(LISTEN));
await server.run();
