/**
 * A few texts at the top of a configuration file, whatever else is wrong with
 * it: whoever asks a running supervisor to reload a broken file must still find
 * that supervisor.
 */
import { readFileSync } from 'node:fs';
import { isMap, parseDocument } from 'yaml';
import { substituteVariables } from './variables.ts';

/**
 * @returns those of the keys that are there and are texts
 * @throws {Error} the file cannot be read
 */
export function peekTexts<Key extends string>(
  path: string,
  keys: readonly Key[],
  env: Readonly<Record<string, string | undefined>>,
): { readonly [key in Key]?: string } {
  const { contents } = parseDocument(readFileSync(path, 'utf8'), { uniqueKeys: false });
  const found: { [key in Key]?: string } = {};
  for (const key of keys) {
    const value: unknown = isMap(contents) ? contents.get(key) : undefined;
    if (typeof value === 'string') found[key] = substituteVariables(value, env).text;
  }
  return found;
}
