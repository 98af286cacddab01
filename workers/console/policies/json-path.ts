/** Where in a JSON document something is: from a place in the text to its path, and back. */
import { syntaxTree } from '@codemirror/language';
import type { EditorState } from '@codemirror/state';
import type { SyntaxNode } from '@lezer/common';

/** Fields by name, elements by number. */
export type JsonPath = readonly (string | number)[];

/** The path of the object, list or value around a node. */
export function pathOf(node: SyntaxNode, state: EditorState): JsonPath {
  const path: (string | number)[] = [];
  for (let at: SyntaxNode | null = node; at?.parent != null; at = at.parent) {
    if (at.parent.name === 'Property') {
      const name = at.parent.getChild('PropertyName');
      if (name !== null && at.name !== 'PropertyName') path.unshift(nameOf(name, state));
    }
    if (at.parent.name === 'Array') path.unshift(elementsOf(at.parent).findIndex((each) => each.from === at.from));
  }
  return path;
}

/** The node that a path names, or the nearest around it that there is. */
export function nodeAt(path: JsonPath, state: EditorState): SyntaxNode | null {
  let node = syntaxTree(state).topNode.firstChild;
  for (const step of path) {
    if (node === null) return null;
    const next: SyntaxNode | null =
      typeof step === 'number' ? (elementsOf(node)[step] ?? null) : fieldOf(node, step, state);
    if (next === null) return node;
    node = next;
  }
  return node;
}

/** The names of an object's fields. */
export function fieldsOf(object: SyntaxNode, state: EditorState): string[] {
  return object.getChildren('Property').flatMap((property) => {
    const name = property.getChild('PropertyName');
    return name === null ? [] : [nameOf(name, state)];
  });
}

/** The name's own node if the value is what was found missing or strange there. */
function fieldOf(object: SyntaxNode, name: string, state: EditorState): SyntaxNode | null {
  for (const property of object.getChildren('Property')) {
    const found = property.getChild('PropertyName');
    if (found !== null && nameOf(found, state) === name) return property.lastChild;
  }
  return null;
}

const PUNCTUATION = ['[', ']', ',', '⚠'];

function elementsOf(list: SyntaxNode): SyntaxNode[] {
  const elements: SyntaxNode[] = [];
  for (let child = list.firstChild; child !== null; child = child.nextSibling) {
    if (!PUNCTUATION.includes(child.name)) elements.push(child);
  }
  return elements;
}

function nameOf(node: SyntaxNode, state: EditorState): string {
  const text = state.sliceDoc(node.from, node.to);
  try {
    return String(JSON.parse(text));
  } catch {
    // Still being written.
    return text.replaceAll('"', '');
  }
}
