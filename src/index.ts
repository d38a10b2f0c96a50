/** The public API of Sluice, and nothing else. */
export type { CreateOptions } from './server/create-options.ts';
export { Server, type ServerOptions } from './server/server.ts';
export { tcpService, type TcpService, type TcpServiceOptions } from './server/tcp-service.ts';
export type { StartHook, Started } from './server/start-hooks.ts';
export {
  backgroundService,
  type BackgroundOptions,
  type BackgroundService,
} from './server/background-service.ts';
export { httpService, type HttpHandler } from './server/http-service.ts';
export { prometheusService, type PrometheusOptions } from './server/prometheus-service.ts';
export {
  httpProxyService,
  type HttpProxyService,
  type ListeningService,
  type Service,
  type ServiceOptions,
} from './server/service.ts';
export { ProxyError } from './shared/errors/proxy-error.ts';
export type { ErrorCode } from './shared/errors/catalog.ts';
export { metrics, type Labelled, type ProgramMetrics } from './shared/metrics/program.ts';
export type { Counter, Gauge, Histogram } from './shared/metrics/series.ts';
export type {
  HistogramOptions,
  LabelDeclaration,
  LabelDeclarations,
  LabelValues,
  MetricOptions,
} from './shared/metrics/spec.ts';
export type { Clock } from './shared/time/clock.ts';
export type { Log } from './shared/log/log.ts';
export { TcpHealthCheck, type TcpHealthCheckOptions } from './worker/balance/health-check.ts';
export {
  HttpHealthCheck,
  type HttpHealthCheckOptions,
} from './worker/balance/http-health-check.ts';
export type { StreamFacts, StreamHandler } from './worker/downstream/streams.ts';
export type { Discovery, DiscoveryWatcher, FoundPeer } from './worker/discovery/discovery.ts';
export { dnsPeers, type DnsOptions } from './worker/discovery/dns.ts';
export type { DnsServerOptions } from './worker/discovery/dns-resolver.ts';
export { dnsSrvPeers, type DnsSrvOptions } from './worker/discovery/dns-srv.ts';
export { filePeers, type FileOptions } from './worker/discovery/file.ts';
export {
  kubernetesPeers,
  type KubernetesOptions,
} from './worker/discovery/kubernetes/kubernetes.ts';
export { staticPeers } from './worker/discovery/static.ts';
export {
  LoadBalancer,
  type LoadBalancerOptions,
  type PeerSpec,
} from './worker/balance/load-balancer.ts';
export type { OutlierDetectionOptions } from './worker/balance/outlier-detection.ts';
export type { CircuitBreakerOptions } from './worker/balance/request-gate.ts';
export { consistent } from './worker/balance/consistent.ts';
export { ewma } from './worker/balance/ewma.ts';
export { fnvHash } from './worker/balance/fnv-hash.ts';
export { leastRequests } from './worker/balance/least-requests.ts';
export { maglev } from './worker/balance/maglev.ts';
export { p2c } from './worker/balance/p2c.ts';
export { random } from './worker/balance/random.ts';
export { roundRobin } from './worker/balance/round-robin.ts';
export type { Candidate, Picker, Selection } from './worker/balance/selection.ts';
export type { ParentRequest, SocketAddress, TlsFacts } from './worker/http/exchange.ts';
export { StickyCookie, type StickyCookieOptions } from './worker/filters/sticky-cookie.ts';
export { Headers } from './worker/http/headers.ts';
export type { RequestHead, ResponseHead } from './worker/http/message.ts';
export { addressKey } from './worker/limits/address-key.ts';
export { RateLimiter } from './worker/limits/rate-limiter.ts';
export type { Charge, Decision, RateLimiterOptions } from './worker/limits/rate-limiter.ts';
export {
  Answer,
  type AnswerBody,
  type AnswerInit,
  type BodyPieces,
} from './worker/proxy/answer.ts';
export { dispatch, type DispatchRoute } from './worker/proxy/dispatch.ts';
export { withFilters } from './worker/proxy/compose.ts';
export type { Filter } from './worker/proxy/filter.ts';
export type {
  Awaitable,
  BodyOutcome,
  ConnectionOutcome,
  NewConnection,
  Phases,
  ProxyHttp,
  ProxyHttpOptions,
  RequestOutcome,
  ResponseOutcome,
  RetryOutcome,
} from './worker/proxy/proxy-http.ts';
export type { RetryOptions } from './worker/proxy/retry-policy.ts';
export type { ReadLimit, Session, SessionTimeouts } from './worker/proxy/session.ts';
export type { SubrequestAnswer } from './worker/proxy/subrequest-answer.ts';
export type { SubrequestInit } from './worker/proxy/subrequests.ts';
export type { Task, TaskContext } from './worker/tasks/task.ts';
export type { TcpKeepAlive } from './worker/transport/node-internals.ts';
export type { ConnectProxyOptions } from './worker/upstream/connect-proxy.ts';
export type { PeerConnection } from './worker/upstream/peer-connection.ts';
export { HttpPeer, type PeerConnector, type PeerOptions } from './worker/upstream/peer.ts';
export type { RouteMatch } from './worker/router/router.ts';
