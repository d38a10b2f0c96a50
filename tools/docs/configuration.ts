/**
 * `docs/reference/configuration.md`, from the schema that checks the file. What
 * a value may be is taken from the message that a wrong one gets.
 */
import { pingoraOnly, settingsSchema } from '../../src/shared/config/schema/settings.ts';
import { code, generatedFrom, linkTo, table } from './markdown.ts';

const INTRODUCTION = `
A configuration file is one document of YAML 1.2. \`sluice -t -c FILE\` checks it and starts nothing: it
reports every problem at once, with line and column, and exits with 1 if there is one.

- **Durations** have a unit: \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`. **Sizes** too: \`B\`, \`kB\` (1,000), \`KiB\`
  (1,024), \`MB\`, \`MiB\`, \`GiB\`.
- **\`$NAME\`** and **\`\${NAME}\`** in a value are taken from the environment; a variable that is not there
  is an error. \`$$\` is a dollar sign.
- **Unknown keys** at the top level are kept for your program (\`server.configuration\`), with a warning
  if one looks like a mistyped key of Sluice. Anywhere else an unknown key is an error.
- \`SLUICE_LOG\` in the environment goes before \`log.level\`; \`--threads\` on the command line goes before
  \`threads\`.
`;

/** What is asked of a schema, of the many kinds that there are. */
interface Schema {
  readonly description?: string;
  readonly minValue?: number;
  readonly maxValue?: number;
  readonly options?: readonly unknown[];
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly def: {
    readonly type: string;
    readonly innerType?: Schema;
    readonly in?: Schema;
    readonly out?: Schema;
    readonly element?: Schema;
    readonly keyType?: Schema;
    readonly valueType?: Schema;
    readonly defaultValue?: unknown;
    readonly values?: readonly unknown[];
  };
  safeParse(value: unknown): {
    readonly error?: { readonly issues: readonly { readonly message: string }[] };
  };
}

interface Setting {
  /** Without what is wrapped around it. */
  readonly schema: Schema;
  readonly description: string;
  readonly required: boolean;
  readonly fallback: unknown;
}

export function configurationPage(): string {
  const schema = settingsSchema as unknown as Schema;
  const pingora = Object.entries(pingoraOnly).map(([key, reason]) => [code(key), reason]);
  return [
    generatedFrom('src/shared/config/schema'),
    '# Configuration',
    INTRODUCTION,
    ...sections('', 'Top level', schema),
    '## Keys of Pingora without effect',
    'They are accepted with a warning, so that such a file is valid as it is.',
    table(['Key', 'Why'], pingora),
  ].join('\n\n');
}

/** One section for an object, then those of the objects in it. */
function sections(path: string, heading: string, { shape = {} }: Schema): string[] {
  const rows: string[][] = [];
  const below: string[] = [];
  for (const [key, given] of Object.entries(shape)) {
    const setting = unwrapped(given);
    const inner = innerObjects(path === '' ? key : `${path}.${key}`, setting.schema);
    for (const { path: innerPath, schema } of inner) {
      below.push(...sections(innerPath, innerPath, schema));
    }
    const links = inner.map(({ path: innerPath }) => linkTo(innerPath)).join(', ');
    const value = links === '' ? kindOf(setting.schema) : links;
    rows.push([code(key), value, defaultOf(setting, links !== ''), setting.description]);
  }
  const title = path === '' ? heading : code(heading);
  return [`## ${title}`, table(['Key', 'Value', 'Default', 'Meaning'], rows), ...below];
}

interface InnerObject {
  readonly path: string;
  readonly schema: Schema;
}

/** The objects that a value is made of, with the places that they have in a file. */
function innerObjects(path: string, schema: Schema): InnerObject[] {
  const { type, element, valueType } = schema.def;
  switch (type) {
    case 'object':
      return [{ path, schema }];
    case 'array':
      // A list of what may also be written as a text is explained by its own line.
      return unwrapped(element!).schema.def.type === 'object'
        ? innerObjects(`${path}[]`, unwrapped(element!).schema)
        : [];
    case 'record':
      return innerObjects(`${path}.NAME`, unwrapped(valueType!).schema);
    case 'union':
      return alternatives(path, schema);
    default:
      return [];
  }
}

/** Objects that are told apart by their `type`. */
function alternatives(path: string, { options = [] }: Schema): InnerObject[] {
  const objects = options as Schema[];
  if (objects.some(({ shape }) => shape?.['type'] === undefined)) return [];
  return objects.map((schema) => {
    const [type] = unwrapped(schema.shape!['type']!).schema.def.values ?? [];
    return { path: objects.length === 1 ? path : `${path} of type ${String(type)}`, schema };
  });
}

function unwrapped(given: Schema): Setting {
  let schema = given;
  let description = '';
  let required = true;
  let fallback: unknown;
  for (;;) {
    description ||= schema.description ?? '';
    const { type, innerType, in: input, out: output, defaultValue } = schema.def;
    if (type === 'optional' || type === 'default' || type === 'prefault') required = false;
    if (type === 'default') fallback = defaultValue;
    const inner = input?.def.type === 'transform' ? output : (innerType ?? input);
    const next = input?.def.type === 'unknown' ? undefined : inner;
    if (next === undefined) return { schema, description, required, fallback };
    schema = next;
  }
}

/** What a value may be, in words. */
function kindOf(schema: Schema): string {
  const { type, element, values = [], keyType, valueType } = schema.def;
  switch (type) {
    case 'boolean':
      return '`true` or `false`';
    case 'number':
      return `whole number, ${schema.minValue} to ${schema.maxValue}`;
    case 'enum':
      return (schema.options ?? []).map(String).map(code).join(', ');
    case 'literal':
      return values.map(String).map(code).join(', ');
    case 'array':
      return `list; each: ${kindOf(unwrapped(element!).schema)}`;
    case 'record':
      return `mapping; each key: ${kindOf(keyType!)}; each value: ${kindOf(valueType!)}`;
    case 'union':
      return expected(schema) ?? (schema.options as Schema[]).map(kindOf).join(' or ');
    case 'string':
      return expected(schema, '\0') ?? 'text';
    default:
      return withUnit(schema) ?? expected(schema) ?? type;
  }
}

/** The words of the message that a wrong value gets. */
function expected(schema: Schema, wrong: unknown = null): string | undefined {
  const message = schema.safeParse(wrong).error?.issues[0]?.message ?? '';
  return /^expected (.+?)(?:, got .*)?$/s.exec(message)?.[1];
}

const units = [
  {
    kind: 'duration',
    tooMuch: '999999999d',
    factors: { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 },
  },
  {
    kind: 'size',
    tooMuch: '999999999GiB',
    factors: { GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, B: 1 },
  },
] as const;

function unitOf(schema: Schema) {
  return units.find(({ kind }) => expected(schema)?.startsWith(`a ${kind} `) === true);
}

function withUnit(schema: Schema): string | undefined {
  const unit = unitOf(schema);
  return unit && `${unit.kind}, ${expected(schema, unit.tooMuch)}`;
}

function defaultOf({ schema, required, fallback }: Setting, hasSection: boolean): string {
  if (required) return 'required';
  if (fallback === undefined || hasSection) return '';
  return code(Array.isArray(fallback) ? JSON.stringify(fallback) : inUnits(schema, fallback));
}

function inUnits(schema: Schema, amount: unknown): string {
  const unit = typeof amount === 'number' ? unitOf(schema) : undefined;
  if (unit === undefined) return String(amount);
  const [name, factor] = Object.entries(unit.factors).find(
    ([, each]) => Number(amount) % each === 0 && Number(amount) >= each,
  ) ?? ['ms', 1];
  return `${Number(amount) / factor}${name}`;
}
