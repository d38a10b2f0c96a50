/** What a reload cannot change, since only a start acts on it. */
import type { Settings } from '../../shared/config/settings.ts';

const FIXED = [
  'pid_file',
  'upgrade_sock',
  'control_sock',
  'error_log',
  'daemon',
  'user',
  'group',
  'working_directory',
  'admin',
] as const satisfies readonly (keyof Settings)[];

/** Those that were changed. */
export function fixedSettings(started: Settings, wanted: Settings): string[] {
  return FIXED.filter((key) => JSON.stringify(started[key]) !== JSON.stringify(wanted[key]));
}
