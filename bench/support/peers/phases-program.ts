/**
 * A proxy as a program: with no phase but the required one, with every phase that
 * a request without failure passes, or with those that look at bodies as well. Each
 * phase does nothing.
 */
import { httpProxyService, LoadBalancer, Server, type Phases, type ProxyHttp } from 'sluice';

/** Of the file, for this program. */
interface Configuration {
  readonly bench: {
    readonly listen: string;
    readonly origin: string;
    readonly phases: 'none' | 'heads' | 'heads and bodies';
  };
}

const server = Server.fromArgs();
const { listen, origin, phases } = (server.configuration as unknown as Configuration).bench;
const balancer = new LoadBalancer([origin], { name: 'origin' });

const ofHeads: Partial<Phases<undefined>> = {
  connectionFilter() {},
  newCtx: () => undefined,
  onConnectionReuse() {},
  earlyRequestFilter() {},
  requestFilter() {},
  proxyUpstreamFilter() {},
  failToConnect() {},
  connectedToUpstream() {},
  upstreamRequestFilter() {},
  errorWhileProxy() {},
  upstreamResponseFilter() {},
  responseFilter() {},
  failToProxy() {},
  suppressErrorLog: () => false,
  persistConnectionContext: () => undefined,
  logging() {},
};

const ofBodies: Partial<Phases<undefined>> = {
  requestBodyFilter() {},
  upstreamResponseBodyFilter() {},
  upstreamResponseTrailerFilter() {},
  responseBodyFilter() {},
  responseTrailerFilter() {},
};

const proxy: ProxyHttp = {
  ...(phases === 'none' ? {} : ofHeads),
  ...(phases === 'heads and bodies' ? ofBodies : {}),
  upstreamPeer: () => balancer.select(),
};

server.addService(httpProxyService(proxy, { name: 'edge' }).addTcp(listen));
await server.run();
