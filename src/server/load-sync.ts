/** Loads a module only where it is needed, and without waiting. */
import { createRequire } from 'node:module';

/**
 * @param path relative, without extension: the sources run as `.ts`, the package as `.js`
 * @param from the importing module's `import.meta.url`
 */
export function loadSync<Module>(path: string, from: string): Module {
  const extension = from.endsWith('.ts') ? '.ts' : '.js';
  return createRequire(from)(path + extension) as Module;
}
