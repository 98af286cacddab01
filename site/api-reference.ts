/**
 * The reference of the API as Markdown, made from the OpenAPI document that the edge serves. What
 * the document says is what the edge parses with, so this page cannot say anything else.
 */
import { type Field, fieldsOf, type Schema, valuesOf } from './json-schema.ts';

type Content = Readonly<Record<string, { schema?: Schema }>>;
type Operation = {
  summary: string;
  description?: string;
  security: readonly unknown[];
  parameters: readonly { name: string; in: string; required: boolean; description?: string; schema: Schema }[];
  requestBody?: { content: Content };
  responses: Readonly<Record<string, { description: string; content?: Content; headers?: Record<string, unknown> }>>;
};
type Document = {
  paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
  components: { schemas: Readonly<Record<string, unknown>> };
};

const OPENING = `# API reference

Every route of the edge, made from its own OpenAPI document. A running edge serves that document at \`GET /openapi.json\`.
Point a generator of clients at it, or a tool that draws it.

A route for clients takes a tenant's API key, and a route for operators the operator's key, both as
\`Authorization: Bearer KEY\`. Bodies are JSON. In the tables, \`a.b\` is the field \`b\` of the object \`a\`, and \`a[].b\` is
the field \`b\` of each entry of the list \`a\`. Fields that must be there are **bold**.

What is not supported and would change the answer is a 400 whose message names the field. Errors have
[one shape](#error) on every route.`;

/** The whole page. */
export function apiReference(document: Document): string {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    // The cast: the document is ours, and its operations have this shape.
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation: operation as Operation })),
  );
  const isAdmin = ({ path }: { path: string }) => path.startsWith('/admin/');
  const shown = (some: typeof routes) => some.map(route).join('\n\n');
  const schemas = Object.entries(document.components.schemas)
    // The cast: they are JSON Schemas.
    .map(([name, schema]) => `### ${name}\n\n${table(fieldsOf(schema as Schema))}`);
  return [
    OPENING,
    '## For clients',
    'What each field does, what is refused and what is ignored is on the page about [the API for clients](api.md).',
    shown(routes.filter((each) => !isAdmin(each))),
    '## For operators',
    'The [admin API](admin-api.md) page walks through these with commands to paste.',
    shown(routes.filter(isAdmin)),
    '## Shared objects',
    ...schemas,
    '',
  ].join('\n\n');
}

function route({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const { summary, description, parameters, requestBody, responses } = operation;
  const parts = [`### ${method.toUpperCase()} ${escaped(path)}`, sentence(summary)];
  parts.push(description === undefined ? 'Needs no key.' : `Needs: ${lowered(description)}`);
  if (parameters.length > 0) parts.push(parametersTable(parameters));
  for (const [type, { schema }] of Object.entries(requestBody?.content ?? {})) {
    parts.push(...contentPart(`Body, \`${type}\``, schema));
  }
  for (const [status, { content = {} }] of Object.entries(responses)) {
    if (status === 'default') continue;
    for (const [type, { schema }] of Object.entries(content)) {
      parts.push(...contentPart(`Answer ${status}, \`${type}\``, schema));
    }
  }
  return parts.join('\n\n');
}

/** Long tables are folded away, so that the routes can be read through. */
function contentPart(title: string, schema: Schema | undefined): string[] {
  if (schema === undefined) return [`${title}.`];
  const fields = fieldsOf(schema);
  if (fields.length === 0) return [`${title}: ${valuesOf(schema)}.`];
  return [`::: details ${title}`, table(fields), ':::'];
}

function parametersTable(parameters: Operation['parameters']): string {
  const rows = parameters.map(({ name, in: where, required, description, schema }) =>
    row([
      mark(name, required),
      where === 'header' ? 'header' : where,
      valuesOf(schema),
      description ?? schema.description ?? '',
    ]),
  );
  return [row(['parameter', 'in', 'values', 'what it is']), row(Array(4).fill('---')), ...rows].join('\n');
}

function table(fields: readonly Field[]): string {
  const rows = fields.map(({ name, schema, required }) =>
    row([mark(name, required), valuesOf(schema), schema.description ?? '']),
  );
  return [row(['field', 'values', 'what it is']), row(Array(3).fill('---')), ...rows].join('\n');
}

const mark = (name: string, required: boolean) => (required ? `**\`${name}\`**` : `\`${name}\``);
const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);
const lowered = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
/** A path's `{id}` would start an expression of the site's templates only if doubled. */
const escaped = (path: string) => `\`${path}\``;
