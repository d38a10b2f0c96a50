/** Gives up root once the sockets are open. */
import { execFileSync } from 'node:child_process';
import { StartupError } from './startup-error.ts';

/**
 * Supplementary groups first, then the group, then the user: after the user is
 * gone, the others could not be changed any more. Workers inherit all three.
 *
 * @throws {StartupError} no such user or group, or not permitted
 */
export function dropPrivileges(user: string | undefined, group: string | undefined): void {
  if (user === undefined && group === undefined) return;
  try {
    const groupId = group ?? primaryGroup(user!);
    if (user !== undefined) process.initgroups?.(user, groupId);
    process.setgid?.(groupId);
    if (user !== undefined) process.setuid?.(user);
  } catch (thrown) {
    const whom = [user && `user "${user}"`, group && `group "${group}"`]
      .filter(Boolean)
      .join(' and ');
    throw new StartupError(`cannot run as ${whom}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

function primaryGroup(user: string): number {
  return Number(
    execFileSync('id', ['-g', '--', user], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
}
