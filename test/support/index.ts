/** What tests are written with. */
export { makeAuthority, makeCertificate, type Certificate } from './certificates.ts';
export { startConnectProxy } from './connect-proxy.ts';
export { startExample, type Example } from './example.ts';
export { startPeer } from './peer.ts';
export { playReadme } from './readme.ts';
export {
  closedPort,
  rawClient,
  rawPeer,
  recordingPeer,
  turnedAway,
  type RawClient,
} from './raw.ts';
export {
  eventually,
  get,
  launch,
  startSluice,
  temporaryFile,
  type Running,
  type StartOptions,
  type Sluice,
} from './sluice.ts';
export { authority, edge, getTls, pemFiles, startTlsPeer, tlsClient } from './tls.ts';
export { startTraffic } from './traffic.ts';
