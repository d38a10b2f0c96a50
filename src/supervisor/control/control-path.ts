/**
 * Where the control socket is. The command that asks and the supervisor that
 * answers find it by the same rules, so that `-c FILE` is enough for both.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';

/** The settings that decide. */
export interface ControlSettings {
  readonly control_sock?: string | undefined;
  readonly pid_file?: string | undefined;
  readonly upgrade_sock?: string | undefined;
  readonly working_directory?: string | undefined;
}

export const controlKeys = [
  'control_sock',
  'pid_file',
  'upgrade_sock',
  'working_directory',
] as const satisfies (keyof ControlSettings)[];

export interface ControlPath {
  readonly path: string;
  /** Named in the configuration: then it must be had, or nothing starts. */
  readonly explicit: boolean;
}

/**
 * @param whose the configuration file, or the program's main module where there is none
 * @param cwd where the process was started
 */
export function controlPath(
  { control_sock, pid_file, upgrade_sock, working_directory = '' }: ControlSettings,
  whose: string,
  cwd: string,
): ControlPath {
  const absolute = (path: string) => resolve(cwd, working_directory, path);
  if (control_sock !== undefined) return { path: absolute(control_sock), explicit: true };
  const neighbour = pid_file ?? upgrade_sock;
  const path =
    neighbour === undefined
      ? join(socketFolder(), `sluice-${digest(realpathSync(resolve(cwd, whose)))}.sock`)
      : absolute(beside(neighbour));
  return { path, explicit: false };
}

/** `/run/sluice/sluice.pid` → `/run/sluice/sluice.control.sock` */
function beside(path: string): string {
  return join(dirname(path), `${basename(path, extname(path))}.control.sock`);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Where others cannot put a socket of theirs under our name. */
function socketFolder(): string {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return '/run';
  const given = process.env['XDG_RUNTIME_DIR'];
  if (given !== undefined && given !== '') return given;
  const folder = join(tmpdir(), `sluice-${uid}`);
  mkdirSync(folder, { mode: 0o700, recursive: true });
  const { uid: owner, mode } = lstatSync(folder);
  if (owner === uid && (mode & 0o077) === 0) return folder;
  throw new Error(
    `${folder} is open to other users; remove it, or name a control_sock in the configuration`,
  );
}
