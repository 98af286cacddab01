/**
 * zod puts a schema that has an id under `$defs` of the schema that uses it, and refers to it from
 * the root of that. In an OpenAPI document the root is the document, where there are no `$defs`. So
 * the definitions move to the document's shared schemas, and the references follow them.
 */

type Definitions = Record<string, unknown>;
type Document = { components: { schemas: Definitions } };

/** `shadow_rule` becomes `ShadowRule`. A name that another definition has already gets a number. */
export function hoistDefinitions<Whole extends Document>(document: Whole): Whole {
  const shared: Definitions = {};
  const visit = (node: unknown): unknown => {
    if (typeof node !== 'object' || node === null) return node;
    if (Array.isArray(node)) return node.map(visit);
    const { $defs, ...rest } = node as { $defs?: Definitions };
    const inside = $defs === undefined ? rest : withoutDefinitions(rest, $defs, shared);
    return Object.fromEntries(Object.entries(inside).map(([key, value]) => [key, visit(value)]));
  };
  // The cast: only definitions and references have moved.
  const moved = visit(document) as Whole;
  const { components } = moved;
  return { ...moved, components: { ...components, schemas: { ...components.schemas, ...shared } } };
}

function withoutDefinitions(schema: object, $defs: Definitions, shared: Definitions): object {
  const names = new Map(Object.entries($defs).map(([name, each]) => [name, freeName(name, each, shared)]));
  const pointed = (part: unknown): unknown =>
    JSON.parse(
      JSON.stringify(part).replace(/"#\/\$defs\/([^"]+)"/g, (whole, name: string) => {
        return names.has(name) ? `"#/components/schemas/${names.get(name)}"` : whole;
      }),
    );
  for (const [name, to] of names) shared[to] = pointed($defs[name]);
  // The cast: an object stays one.
  return pointed(schema) as object;
}

function freeName(name: string, definition: unknown, shared: Definitions): string {
  const pascal = name.replace(/(?:^|[_-])(\w)/g, (_, letter: string) => letter.toUpperCase());
  for (let number = 1; ; number++) {
    const free = number === 1 ? pascal : `${pascal}${number}`;
    if (shared[free] === undefined || unnamed(shared[free]) === unnamed(definition)) return free;
  }
}

/** Without the names that it refers to, which change as it moves. */
const unnamed = (schema: unknown) => JSON.stringify(schema).replace(/"\$ref":"[^"]*"/g, '"$ref"');
