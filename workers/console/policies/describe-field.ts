/** What a field means, while the pointer rests on its name. */
import { syntaxTree } from '@codemirror/language';
import type { EditorView, Tooltip } from '@codemirror/view';
import { pathOf } from './json-path.ts';
import { aboutField, schemaAt } from './policy-fields.ts';

export function describeField({ state }: EditorView, pos: number, side: -1 | 1): Tooltip | null {
  const node = syntaxTree(state).resolveInner(pos, side);
  const value = node.parent?.lastChild;
  if (node.name !== 'PropertyName' || value == null || value.name === 'PropertyName') return null;
  const field = schemaAt(pathOf(value, state));
  const about = field === null ? '' : aboutField(field);
  if (about === '') return null;
  return {
    pos: node.from,
    end: node.to,
    create() {
      const dom = document.createElement('p');
      dom.className = 'field-about';
      dom.textContent = about;
      return { dom };
    },
  };
}
