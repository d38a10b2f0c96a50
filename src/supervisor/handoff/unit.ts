/** Which service of systemd this process is the main one of. */
import { readFileSync } from 'node:fs';

/**
 * A successor outside the unit would lose its predecessor's place there: systemd
 * sees the main process end and takes the service for stopped.
 *
 * @param cgroups the content of /proc/self/cgroup
 * @param env INVOCATION_ID is set by systemd for what it starts; in a shell it is not
 * @returns `sluice.service`, or `undefined` outside a service
 */
export function unitIn(cgroups: string, env: NodeJS.ProcessEnv): string | undefined {
  if (env['INVOCATION_ID'] === undefined) return undefined;
  // One line under cgroup v2; under v1 the hierarchy of systemd is named so.
  const line = /^(?:0::|\d+:name=systemd:)(.*)$/m.exec(cgroups);
  const last = line?.[1]?.split('/').findLast((name) => name !== '');
  return last?.endsWith('.service') === true ? last : undefined;
}

export function ownUnit(): string | undefined {
  try {
    return unitIn(readFileSync('/proc/self/cgroup', 'utf8'), process.env);
  } catch {
    return undefined;
  }
}
