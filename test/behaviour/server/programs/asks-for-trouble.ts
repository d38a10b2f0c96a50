/** Does what its configuration says, to see what becomes of a reload. */
import { appendFileSync, readFileSync } from 'node:fs';
import { Answer, Server, httpProxyService } from 'sluice';

interface Wanted {
  readonly answer: string;
  /** A file in which each process leaves a line. */
  readonly lines: string;
  readonly throws?: boolean;
  readonly ends?: boolean;
  /** From that process on, counted from the first, the program ends or hangs. */
  readonly endsFrom?: number;
  readonly hangsFrom?: number;
  /** That process takes so many bytes of memory. */
  readonly takes?: { readonly process: number; readonly bytes: number };
}

const server = Server.fromArgs();
const wanted = server.configuration as unknown as Wanted;

appendFileSync(wanted.lines, 'x\n');
const number = readFileSync(wanted.lines, 'utf8').split('\n').length - 1;
if (wanted.throws === true) throw new Error('this program does not like its configuration');
if (wanted.ends === true || number >= (wanted.endsFrom ?? Infinity)) process.exit(3);
if (number >= (wanted.hangsFrom ?? Infinity)) {
  for (;;);
}

const taken = Buffer.alloc(wanted.takes?.process === number ? wanted.takes.bytes : 0, 1);

const service = httpProxyService({
  requestFilter: () =>
    new Answer({ status: 200, body: `${wanted.answer}${taken.length > 0 ? ' big' : ''}` }),
  upstreamPeer() {
    throw new Error('everything is answered before');
  },
});
server.addService(service.addTcp('127.0.0.1:0'));
await server.run();
