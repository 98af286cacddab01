/** The items that a response was asked with, as they are stored and given out again. */
import { itemId } from './ids.ts';
import type { Item } from './read-items.ts';

export function shownItems(items: readonly Item[], { response }: { response: string }): Record<string, unknown>[] {
  return items.map((item, index) => {
    const shown = { id: itemId(item.type, { response, side: 'input', index }), ...item, status: 'completed' };
    if (item.type !== 'message') return shown;
    const content = item.content.map((part) => (part.type === 'output_text' ? { ...part, annotations: [] } : part));
    return { ...shown, content };
  });
}
