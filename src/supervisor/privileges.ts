/** Gives up root once the sockets are open and the keys are read. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { StartupError } from './startup-error.ts';

/** Whom the supervisor and its workers run as. */
export interface Identity {
  /** Of the account database; absent for a bare number. */
  readonly name: string | undefined;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Looks up what the configuration says; whoever it does not name stays.
 *
 * @param user a name or a number, as `group`
 * @throws {StartupError} there is no such user or group
 */
export function identityOf(user: string | undefined, group: string | undefined): Identity {
  const account = user === undefined ? undefined : accountOf(user);
  const gid = group === undefined ? (account?.gid ?? process.getgid?.() ?? 0) : groupOf(group);
  return { name: account?.name, uid: account?.uid ?? process.getuid?.() ?? 0, gid };
}

/**
 * Supplementary groups first, then the group, then the user: after the user is
 * gone, the others could not be changed any more. Workers inherit all three.
 *
 * @throws {StartupError} not permitted
 */
export function become({ name, uid, gid }: Identity): void {
  if (uid === process.getuid?.() && gid === process.getgid?.()) return;
  if (process.geteuid?.() !== 0) {
    throw new StartupError(
      `cannot run as user ${name ?? uid}, group ${gid}: only root can become somebody else; start as root, or leave "user" and "group" out`,
    );
  }
  try {
    if (name === undefined) process.setgroups?.([gid]);
    else process.initgroups?.(name, gid);
    process.setgid?.(gid);
    process.setuid?.(uid);
  } catch (thrown) {
    throw new StartupError(
      `cannot run as user ${name ?? uid}, group ${gid}: ${(thrown as Error).message}`,
      { cause: thrown },
    );
  }
  if (uid !== 0 && canBecomeRoot())
    throw new StartupError(`running as user ${name ?? uid}, but root could be had back`);
}

function canBecomeRoot(): boolean {
  try {
    process.seteuid?.(0);
    return true;
  } catch {
    return false;
  }
}

function accountOf(user: string): Identity {
  const entry = entryOf('passwd', user);
  if (entry !== undefined) {
    const [name, , uid, gid] = entry;
    return { name, uid: Number(uid), gid: Number(gid) };
  }
  if (!isNumber(user)) throw new StartupError(`user: there is no user "${user}" on this machine`);
  // A container's number needs no account. Its own group is the least it can have.
  return { name: undefined, uid: Number(user), gid: Number(user) };
}

function groupOf(group: string): number {
  const entry = entryOf('group', group);
  if (entry !== undefined) return Number(entry[2]);
  if (isNumber(group)) return Number(group);
  throw new StartupError(`group: there is no group "${group}" on this machine`);
}

/** A line of `passwd` or `group`, cut into its fields; by name, or by number where that is one. */
function entryOf(database: 'passwd' | 'group', key: string): string[] | undefined {
  const fits = ([name, , id]: string[]) => name === key || (isNumber(key) && id === key);
  const local = linesOf(readFileSync(`/etc/${database}`, 'utf8')).find(fits);
  return local ?? linesOf(fromNameService(database, key)).find(fits);
}

function linesOf(text: string): string[][] {
  return text.split('\n').map((line) => line.split(':'));
}

/** Accounts that are not in the file but in LDAP or the like. */
function fromNameService(database: string, key: string): string {
  try {
    return execFileSync('getent', [database, key], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return '';
  }
}

function isNumber(text: string): boolean {
  return /^\d{1,9}$/.test(text);
}
