/**
 * What do phases cost that do nothing? Three programs that differ in nothing else.
 *
 * Phases of bodies are a row of their own, since they change more than who is called: a
 * body that a phase may change the length of goes out in chunks.
 */
import { SMALL_TEXT } from '../../support/peers/origin.ts';
import { sluiceProgram } from '../../support/peers/sluice.ts';
import { cpuPerRequest } from './cpu-per-request.ts';
import { contender } from './work.ts';

const WITHOUT = 'no phases';
const HEADS = 'all of heads';
const HEADS_AND_BODIES = 'and of bodies';

export const phases = cpuPerRequest({
  name: 'phases',
  title: 'small GET, 64 keep-alive connections, through all request phases as no-ops',
  contenders: [
    contender(sluiceProgram('none'), { name: WITHOUT }),
    contender(sluiceProgram('heads'), { name: HEADS }),
    contender(sluiceProgram('heads and bodies'), { name: HEADS_AND_BODIES }),
  ],
  baseline: WITHOUT,
  goals: [HEADS, HEADS_AND_BODIES].map((who) => ({ who, against: WITHOUT, atMost: 1.03 })),
  request: { path: '/' },
  answerBytes: SMALL_TEXT.length,
});
