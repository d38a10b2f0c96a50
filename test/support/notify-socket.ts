/** A service manager for tests: it hears what is sent to NOTIFY_SOCKET, descriptors included. */
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { openLibc, type Libc } from '../../src/shared/memory/libc.ts';
import { eventually } from './sluice.ts';

export interface Notification {
  readonly fields: Readonly<Record<string, string>>;
  readonly descriptors: readonly number[];
}

export interface NotifySocket {
  /** For the environment. */
  readonly address: string;
  /** All so far, in order. */
  readonly heard: readonly Notification[];
  /** Resolves with the first one that fits. */
  hears(fits: (fields: Readonly<Record<string, string>>) => boolean): Promise<Notification>;
}

/** @param address a path, or `@name` in the abstract namespace */
export function notifySocket(t: TestContext, address: string): NotifySocket {
  const libc = openLibc() as Libc;
  const fd = bound(address);
  const heard: Notification[] = [];
  const drain = () => {
    for (;;) {
      const message = libc.receiveBytes(fd);
      if (message === 'nothing' || message === 'end') return;
      const lines = message.bytes.toString().split('\n');
      const fields = Object.fromEntries(
        lines.map((line) => [line.split('=', 1)[0]!, line.slice(line.indexOf('=') + 1)]),
      );
      heard.push({ fields, descriptors: message.descriptors });
    }
  };
  // Its queue is short, as the kernel's default is.
  const draining = setInterval(drain, 20);
  t.after(() => {
    clearInterval(draining);
    drain();
    for (const each of [fd, ...heard.flatMap(({ descriptors }) => descriptors)]) libc.close(each);
  });
  return {
    address,
    heard,
    hears: (fits) =>
      eventually(async () => {
        drain();
        return heard.find(({ fields }) => fits(fields));
      }, 'the service manager to be told'),
  };
}

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;

/** Node has no sockets of this kind, and the product needs none to receive on. */
function bound(address: string): number {
  const koffi = createRequire(import.meta.url)('koffi') as {
    load(library: null): { func(signature: string): (...args: unknown[]) => number };
  };
  const library = koffi.load(null);
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const bind = library.func('int bind(int fd, const void *address, uint32_t length)');
  const fd = socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
  const name = address.startsWith('@') ? `\0${address.slice(1)}` : address;
  const structure = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(name)]);
  if (fd < 0 || bind(fd, structure, structure.length) !== 0) throw new Error('no notify socket');
  return fd;
}
