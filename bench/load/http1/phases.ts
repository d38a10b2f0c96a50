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
const WITH = 'all of heads';

export const phases = cpuPerRequest({
  name: 'phases',
  title: 'small GET, 64 keep-alive connections, through all request phases as no-ops',
  contenders: [
    contender(sluiceProgram('none'), { name: WITHOUT }),
    contender(sluiceProgram('heads'), { name: WITH }),
    contender(sluiceProgram('heads and bodies'), { name: 'and of bodies' }),
  ],
  baseline: WITHOUT,
  goals: [{ who: WITH, against: WITHOUT, atMost: 1.03 }],
  request: { path: '/' },
  answerBytes: SMALL_TEXT.length,
});
