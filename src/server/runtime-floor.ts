/**
 * The oldest Node that Sluice runs on. Older ones hide header fields past about
 * a thousand from the program while their parser obeys them (CVE-2026-58044).
 * Importing this module checks it, so it is imported before everything else.
 */
import process from 'node:process';

const FLOOR = '^24.18.1 || >=26.5.1';

function isSupported(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const atLeast = (m: number, p: number) => minor > m || (minor === m && patch >= p);
  return major > 26 || (major === 26 && atLeast(5, 1)) || (major === 24 && atLeast(18, 1));
}

if (!isSupported(process.versions.node)) {
  process.stderr.write(
    `sluice: needs Node.js ${FLOOR}, and this is ${process.versions.node}. ` +
      'Older releases let requests with very many headers be smuggled (CVE-2026-58044); install a newer one.\n',
  );
  process.exit(1);
}
