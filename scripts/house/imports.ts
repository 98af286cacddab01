/**
 * Reads which file imports which, from the syntax tree of every source file that git tracks or
 * would track.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

type Import = {
  /** The importing file, relative to the root, with `/` between folders. */
  from: string;
  line: number;
  /** The imported file, relative to the root, or the name of a package. */
  to: { file: string } | { package: string };
};

export type SourceFile = {
  file: string;
  imports: Import[];
  /** Lines with an import whose target is computed, so that nobody can check it. */
  computed: number[];
  /** Lines that reach for `process.exit`. */
  exits: number[];
  /** Lines that hold only a comment and end beyond column 100. */
  longComments: number[];
};

const MAX_COMMENT_COLUMNS = 100;
/** layers.ts says which of these we write where, and refuses the others. */
const SOURCE = /\.[cm]?[jt]sx?$/;

export function readSources(root: string): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  // A moved or deleted file stays in the git index until the change is staged.
  const files = listed.split('\n').filter((file) => SOURCE.test(file) && existsSync(path.join(root, file)));
  return files.map((file) => readSource(file, readFileSync(path.join(root, file), 'utf8')));
}

/**
 * Finds static, dynamic and type imports, re-exports, `import('...')` in a type, `require`, and
 * files that are named by `new URL('./x.ts', import.meta.url)`, as threads and processes are.
 */
export function readSource(file: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length;
  const imports: Import[] = [];
  const computed: number[] = [];
  const exits: number[] = [];
  const add = (node: { value: unknown; start: number } | null | undefined) => {
    if (typeof node?.value !== 'string') return;
    imports.push({ from: file, line: lineAt(node.start), to: resolve(file, node.value) });
  };
  new Visitor({
    ImportDeclaration: ({ source }) => add(source),
    ExportNamedDeclaration: ({ source }) => add(source),
    ExportAllDeclaration: ({ source }) => add(source),
    ImportExpression: ({ source, start }) => {
      const constant = source.type === 'TemplateLiteral' && source.quasis.length === 1;
      if (source.type === 'Literal') add(source);
      else if (constant) add({ value: source.quasis[0]!.value.cooked, start });
      else computed.push(lineAt(start));
    },
    NewExpression: ({ callee, arguments: [target] }) => {
      const isUrl = callee.type === 'Identifier' && callee.name === 'URL';
      if (isUrl && target?.type === 'Literal' && /^\.{1,2}\/.*\.(ts|mjs)$/.test(String(target.value))) add(target);
    },
    CallExpression: ({ callee, arguments: [target] }) => {
      const made = callee.type === 'CallExpression' ? callee.callee : callee;
      const isRequire = made.type === 'Identifier' && /^(createRequire|require)$/.test(made.name);
      if (isRequire && (made !== callee || made.name === 'require') && target?.type === 'Literal') add(target);
    },
    TSImportType: ({ source }) => add(source),
    MemberExpression: ({ object, property, start }) => {
      const isProcess =
        nameOf(object) === 'process' || (object.type === 'MemberExpression' && nameOf(object.property) === 'process');
      if (isProcess && nameOf(property) === 'exit') exits.push(lineAt(start));
    },
    ImportSpecifier: ({ imported, start }) => {
      if (nameOf(imported) === 'exit') exits.push(lineAt(start));
    },
    VariableDeclarator: ({ id, init, start }) => {
      const taken = id.type === 'ObjectPattern' ? id.properties : [];
      const isExit = taken.some((property) => property.type === 'Property' && nameOf(property.key) === 'exit');
      if (isExit && init !== null && nameOf(init) === 'process') exits.push(lineAt(start));
    },
  }).visit(program);

  const lines = text.split('\n');
  const startsLine = (offset: number) => text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset).trim() === '';
  const longComments = comments.flatMap(({ start, end }) => {
    const [first, last] = [lineAt(start), lineAt(end)];
    const all = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    // A comment after code, such as a shape, may use all of the code's 120 columns.
    return all.filter((line) => lines[line - 1]!.length > MAX_COMMENT_COLUMNS && (line > first || startsLine(start)));
  });
  return { file, imports, computed, exits, longComments };
}

/** The text of an identifier or of a string. */
function nameOf(node: { type: string; name?: unknown; value?: unknown }): unknown {
  return node.type === 'Identifier' ? node.name : node.type === 'Literal' ? node.value : null;
}

/** `#shared/x.ts` and `./x.ts` are files of ours; anything else is a package. */
function resolve(file: string, specifier: string): Import['to'] {
  if (specifier.startsWith('#')) return { file: specifier.slice(1) };
  if (specifier.startsWith('.')) return { file: path.posix.join(path.posix.dirname(file), specifier) };
  return { package: specifier };
}
