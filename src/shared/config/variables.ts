/** `$NAME` and `${NAME}` in a text; `$$` is a dollar. */
export function substituteVariables(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): { readonly text: string; readonly unknown: readonly string[] } {
  const unknown: string[] = [];
  const replaced = text.replace(
    /\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g,
    (found, bare?: string, braced?: string) => {
      const name = bare ?? braced;
      if (name === undefined) return '$';
      const value = env[name];
      if (value === undefined) unknown.push(name);
      return value ?? found;
    },
  );
  return { text: replaced, unknown };
}
