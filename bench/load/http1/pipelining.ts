/**
 * Requests to the origin pipelined over few connections, while the proxy is
 * what everybody waits for: the origin shares its core. Elsewhere the turns of
 * its event loop are short, and there is little to send together.
 */
import { nginx } from '../../support/peers/nginx.ts';
import { SMALL_TEXT } from '../../support/peers/origin.ts';
import { sluiceWith } from '../../support/peers/sluice.ts';
import { cpuPerRequest } from './cpu-per-request.ts';
import { contender } from './work.ts';

/** `upstreams.<name>.pool` of Sluice. */
const POOL = '{ pipelining: 16 }';

export const pipelining = cpuPerRequest({
  name: 'pipelining',
  title: 'small GET, 64 keep-alive connections, opt-in pipelining to the origin, proxy saturated',
  contenders: [contender(sluiceWith(POOL)), contender(nginx)],
  baseline: 'nginx',
  goals: [{ against: 'nginx', atMost: 0.7 }],
  request: { path: '/' },
  answerBytes: SMALL_TEXT.length,
  cores: { servers: [0], load: 1, origin: 0 },
  notes: [`upstreams.origin.pool of Sluice: ${POOL}`],
});
