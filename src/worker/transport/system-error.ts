/** Errors of system calls that were made below Node's own. */
import { getSystemErrorName } from 'node:util';

/** @param status negative, as libuv returns it */
export function systemError(status: number, call: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`${call} ${code}`), { code, errno: status, syscall: call });
}
