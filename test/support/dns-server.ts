/** A name server for tests: answers what it is told to, over UDP on a port of the system's choice. */
import { createSocket } from 'node:dgram';
import type { TestContext } from 'node:test';

export type DnsAnswer =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  | {
      readonly targets: readonly {
        readonly name: string;
        readonly port: number;
        readonly priority: number;
        readonly weight: number;
      }[];
    }
  | 'unknown-name'
  | 'server-failure'
  | 'silence';

export interface DnsServer {
  /** `127.0.0.1:port` */
  readonly address: string;
  /** `A api.test`, in the order in which they came. */
  readonly questions: readonly string[];
  /** From now on. What nothing was said about has no record. */
  answer(question: string, answer: DnsAnswer): void;
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 28: 'AAAA', 33: 'SRV' };

export async function startDnsServer(t: TestContext): Promise<DnsServer> {
  const answers = new Map<string, DnsAnswer>();
  const questions: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const { text, end, type } = questionIn(query);
    questions.push(text);
    const answer = answers.get(text) ?? { addresses: [], ttl: 0 };
    if (answer === 'silence') return;
    socket.send(response(query, end, type, answer), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  t.after(() => socket.close());
  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    answer: (question, answer) => void answers.set(question, answer),
  };
}

function questionIn(query: Buffer): { text: string; end: number; type: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const text = `${TYPES[type] ?? type} ${labels.join('.').toLowerCase()}`;
  return { text, end: at + 5, type };
}

const CODES = { 'unknown-name': 3, 'server-failure': 2 } as const;

function response(query: Buffer, end: number, type: number, answer: Exclude<DnsAnswer, 'silence'>) {
  const head = Buffer.from(query.subarray(0, end));
  const records = typeof answer === 'string' ? [] : recordsOf(answer);
  head.writeUInt16BE(0x8180 | (typeof answer === 'string' ? CODES[answer] : 0), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  const bodies = records.map(({ ttl, data }) => {
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc00c, 0); // the name of the question
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttl, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([head, ...bodies]);
}

function recordsOf(answer: Exclude<DnsAnswer, string>): { ttl: number; data: Buffer }[] {
  if ('addresses' in answer)
    return answer.addresses.map((address) => ({ ttl: answer.ttl, data: numeric(address) }));
  return answer.targets.map(({ name, port, priority, weight }) => {
    const numbers = Buffer.alloc(6);
    numbers.writeUInt16BE(priority, 0);
    numbers.writeUInt16BE(weight, 2);
    numbers.writeUInt16BE(port, 4);
    const labels = name
      .split('.')
      .flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
    return { ttl: 0, data: Buffer.concat([numbers, ...labels, Buffer.from([0])]) };
  });
}

function numeric(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [before = '', after = ''] = address.split('::');
  const words = (text: string) => text.split(':').filter((word) => word !== '');
  const [first, last] = [words(before), words(after)];
  const all = [
    ...first,
    ...Array.from({ length: 8 - first.length - last.length }, () => '0'),
    ...last,
  ];
  return Buffer.from(all.flatMap((word) => [parseInt(word, 16) >> 8, parseInt(word, 16) & 0xff]));
}
