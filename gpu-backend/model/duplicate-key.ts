/**
 * Finds the first key that occurs twice in one object, anywhere in a JSON text. `JSON.parse` keeps
 * the last of them and says nothing. The text must be valid JSON.
 */
export function duplicateKey(json: string): string | undefined {
  /** The keys so far of each object that is open here. An open array has none. */
  const open: (Set<string> | undefined)[] = [];
  let i = 0;
  while (i < json.length) {
    const char = json[i]!;
    if (char === '"') {
      const end = endOfString(json, i);
      const keys = open.at(-1);
      if (keys !== undefined && nextAfterSpace(json, end) === ':') {
        // Two spellings of one key, such as "a" and "\u0061", are the same key.
        const key: string = JSON.parse(json.slice(i, end));
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end;
      continue;
    }
    if (char === '{') open.push(new Set());
    else if (char === '[') open.push(undefined);
    else if (char === '}' || char === ']') open.pop();
    i++;
  }
  return undefined;
}

/** The index after the closing quote of the string that begins at `begin`. */
function endOfString(json: string, begin: number): number {
  let i = begin + 1;
  while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
  return i + 1;
}

function nextAfterSpace(json: string, from: number): string | undefined {
  let i = from;
  while (json[i] === ' ' || json[i] === '\n' || json[i] === '\r' || json[i] === '\t') i++;
  return json[i];
}
