/** Splits what the user gives for a data file, `LAYOUT:FILE`. */

/** Throws, naming the layouts, if the first part is none of them. */
export function splitName<L extends string>(
  name: string,
  layouts: Readonly<Record<L, unknown>>,
): [layout: L, file: string] {
  const at = name.indexOf(':');
  const [layout, file] = [name.slice(0, Math.max(0, at)), name.slice(at + 1)];
  if (!isIn(layout, layouts)) {
    throw new Error(
      `"${name}": "${layout}" is no layout; write LAYOUT:FILE with one of ${Object.keys(layouts).join(', ')}`,
    );
  }
  return [layout, file];
}

function isIn<L extends string>(name: string, layouts: Readonly<Record<L, unknown>>): name is L {
  return Object.hasOwn(layouts, name);
}
