/** What tests are written with. */
export { makeAuthority, makeCertificate, type Certificate } from './certificates.ts';
export { startPeer } from './peer.ts';
export { closedPort, rawClient, rawPeer } from './raw.ts';
export { eventually, get, launch, startSluice, temporaryFile, type Running } from './sluice.ts';
export { authority, edge, getTls, pemFiles, startTlsPeer, tlsClient } from './tls.ts';
