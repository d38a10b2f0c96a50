/**
 * Which of the sockets that share an address (SO_REUSEPORT) gets a new
 * connection. The kernel numbers them in the order in which they began to listen,
 * and asks a program of three instructions for the number:
 *
 *   load a random word; take it modulo the count; that is the number
 */
import type { Calls } from './descriptor-passing.ts';

export interface SocketSteering {
  /**
   * From now on the first `count` sockets of the address get all new connections,
   * at random. A handshake that has begun with another one still ends there.
   *
   * @param fd any of them
   */
  spreadOver(fd: number, count: number): void;
}

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;

/** Instructions and their place, from linux/filter.h. */
const LOAD_WORD = 0x20;
const RANDOM_WORD = 0xfffff038; // SKF_AD_OFF + SKF_AD_RANDOM
const MODULO_CONSTANT = 0x94;
const RETURN_ACCUMULATOR = 0x16;

/** `struct sock_fprog` has a length and a pointer, which must be the address of the instructions. */
const PROGRAM_AT = 64;
const PAGE_BYTES = 4_096;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

export function bindSocketSteering({ func, fail, view }: Calls): SocketSteering {
  const setsockopt = func(
    'int setsockopt(int fd, int level, int name, intptr_t value, uint32_t length)',
  );
  const mmap = func(
    'intptr_t mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)',
  );
  let page: { readonly address: number; readonly fields: DataView } | undefined;

  // Not with the library: only a process that closes or adds sockets needs it.
  const openPage = () => {
    const address = mmap(null, PAGE_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    if (address === -1) fail('mmap');
    return { address, fields: new DataView(view(address, PAGE_BYTES)) };
  };

  return {
    spreadOver(fd, count) {
      page ??= openPage();
      const { address, fields } = page;
      const program = [
        [LOAD_WORD, RANDOM_WORD],
        [MODULO_CONSTANT, count],
        [RETURN_ACCUMULATOR, 0],
      ] as const;
      for (const [at, [code, operand]] of program.entries()) {
        fields.setUint16(PROGRAM_AT + at * 8, code, true);
        fields.setUint32(PROGRAM_AT + at * 8 + 4, operand, true);
      }
      fields.setUint16(0, program.length, true);
      fields.setBigUint64(8, BigInt(address + PROGRAM_AT), true);
      if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, address, 16) === -1)
        fail('setsockopt');
    },
  };
}
