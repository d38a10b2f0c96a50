/** A program with every phase. */
import { HttpPeer, httpProxyService, Server } from 'sluice';
import { everyPhase } from './every-phase-proxy.ts';

const server = Server.fromArgs();
const { peer, closed } = server.configuration as { peer: string; closed: string };
const proxy = everyPhase(new HttpPeer(peer), new HttpPeer(closed));
server.addService(httpProxyService(proxy).addTcp('127.0.0.1:0'));
await server.run();
