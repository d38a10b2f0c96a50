/** Goes on after an exception, and prints who was called at the end of the turn, and of the next one. */
import { atEndOfTurn } from '../../../../../src/worker/transport/end-of-turn.ts';

const called: string[] = [];
process.on('uncaughtException', () => called.push('threw'));
process.on('exit', () => process.stdout.write(called.join(', ')));

atEndOfTurn({
  onEndOfTurn() {
    throw new Error('a bug');
  },
});
atEndOfTurn({
  onEndOfTurn() {
    called.push('second');
    atEndOfTurn({ onEndOfTurn: () => called.push('third') });
  },
});
