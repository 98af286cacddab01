/** What may be written at the cursor: a field that is not there yet, or one of a few values. */
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { snippetCompletion } from '@codemirror/autocomplete';
import { syntaxTree } from '@codemirror/language';
import { fieldsOf, pathOf } from './json-path.ts';
import { aboutField, type FieldSchema, fieldsAt, valuesAt } from './policy-fields.ts';

export function completeField({ state, pos, explicit }: CompletionContext): CompletionResult | null {
  const node = syntaxTree(state).resolveInner(pos, -1);
  const before = state.sliceDoc(0, pos);
  const property = node.name === 'PropertyName' ? node.parent : node.name === 'Property' ? node : null;
  const isValue = /:\s*("[^"]*)?[\w.-]*$/.test(before);
  if (isValue) {
    const word = /("[^"\n]*|[\w.-]*)$/.exec(before)?.[0] ?? '';
    const at = property ?? node.parent;
    const value = at?.lastChild ?? node;
    const options = valuesAt(
      pathOf(at?.name === 'Property' && value.name !== 'PropertyName' ? value : inValue(node), state),
    );
    if (options.length === 0 || (word === '' && !explicit)) return null;
    return {
      from: pos - word.length,
      options: options.map((option) => ({ label: JSON.stringify(option), type: 'enum' })),
    };
  }
  const word = /"?[\w]*$/.exec(before)?.[0] ?? '';
  if (word === '' && !explicit) return null;
  const object = enclosing(node, 'Object');
  if (object === null) return null;
  const there = new Set(fieldsOf(object, state));
  const options = fieldsAt(pathOf(object, state))
    .filter(([name]) => !there.has(name))
    .map(([name, field]) => completion(name, field));
  // A quote that follows was put there with the one before the cursor.
  const to = word.startsWith('"') && state.sliceDoc(pos, pos + 1) === '"' ? pos + 1 : pos;
  return options.length === 0 ? null : { from: pos - word.length, to, options, filter: true };
}

function completion(name: string, field: FieldSchema): Completion {
  const label = JSON.stringify(name);
  return snippetCompletion(`${label}: \${}`, { label, type: 'property', info: aboutField(field) });
}

type Node = ReturnType<typeof enclosing>;

function enclosing(node: ReturnType<ReturnType<typeof syntaxTree>['resolveInner']>, name: string) {
  let at: typeof node | null = node;
  while (at !== null && at.name !== name) at = at.parent;
  return at;
}

/** A value that is still being written has the name before it for a neighbour. */
const inValue = (node: NonNullable<Node>) => (node.name === 'PropertyName' ? (node.nextSibling ?? node) : node);
