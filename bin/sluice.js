#!/usr/bin/env node
// The `sluice` command. Plain JavaScript that old releases of Node can read too,
// so that they get to say what is wrong with them.
import { existsSync } from 'node:fs';

// In a clone the sources are there and run as they are; the package has only what was built from them.
const sources = new URL('../src/server/main.ts', import.meta.url);
const built = new URL('../dist/server/main.js', import.meta.url);
const isClone = existsSync(sources);

const [major, minor] = process.versions.node.split('.').map(Number);
const readsTypeScript = major > 24 || (major === 24 && minor >= 12);
if (isClone && !readsTypeScript) {
  process.stderr.write(
    `sluice: needs Node.js ^24.18.1 || >=26.5.1, and this is ${process.versions.node}. ` +
      'In a clone, "npm ci" brings a suitable one: npx sluice, or npm start.\n',
  );
  process.exit(1);
}
await import((isClone ? sources : built).href);
