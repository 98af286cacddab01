/** What the edge would refuse in a document, each where it stands. */
import { syntaxTree } from '@codemirror/language';
import type { Diagnostic } from '@codemirror/lint';
import type { EditorState } from '@codemirror/state';
import { readPolicy } from '#policies/problems.ts';
import { type JsonPath, nodeAt } from './json-path.ts';

export function problemsIn(state: EditorState): Diagnostic[] {
  const text = state.doc.toString();
  const broken = syntaxProblem(state);
  if (broken !== null) return [broken];
  return readPolicy(JSON.parse(text), 'policy').problems.map(({ key, found, wanted }) => {
    const node = nodeAt(toPath(key), state);
    const message = `${key}: found ${found}, wanted ${wanted}`;
    return { from: node?.from ?? 0, to: node?.to ?? text.length, severity: 'error', message };
  });
}

/** As `problems.ts` writes it. No field of the language has a dot in its name. */
const toPath = (key: string): JsonPath =>
  key === 'the document' ? [] : key.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step));

function syntaxProblem(state: EditorState): Diagnostic | null {
  const text = state.doc.toString();
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    let at = text.length;
    syntaxTree(state).iterate({
      enter: ({ type, from }) => {
        if (type.isError) at = Math.min(at, from);
      },
    });
    const from = Math.max(Math.min(at, text.length - 1), 0);
    const message = error instanceof Error ? error.message : 'This is not JSON.';
    return { from, to: Math.min(from + 1, text.length), severity: 'error', message };
  }
}
