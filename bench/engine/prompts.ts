/** What the contenders are asked: chats in token ids. */
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';

const PLACES = ['lighthouse', 'mill', 'harbour', 'bakery', 'library', 'station', 'garden', 'ferry'];

/**
 * Different questions of about forty tokens whose answers are long, so there is something to say.
 */
export function storyPrompts({ renderChat }: BundleHead, count: number): number[][] {
  return Array.from({ length: count }, (_, i) => {
    const content = `Write a very long story, number ${i + 1}, about an old ${PLACES[i % PLACES.length]} and its keeper.`;
    return renderChat([{ role: 'user', content }]);
  });
}

/**
 * A chat with a prompt of exactly `tokens` tokens, or a few less. The first words depend on
 * `first`, so prompts with different ones share no beginning but the template's.
 */
export function longPrompt(
  { renderChat }: BundleHead,
  tokens: number,
  { first, question = 'Go on.' }: { first: string; question?: string },
): number[] {
  const words = (count: number) => Array.from({ length: count }, (_, i) => `word ${i % 10}`).join(' ');
  const render = (count: number) =>
    renderChat([
      { role: 'system', content: `${first}. ${words(count)}` },
      { role: 'user', content: question },
    ]);
  const perWord = (render(400).length - render(200).length) / 200;
  let count = Math.ceil(tokens / perWord);
  while (render(count).length > tokens) count--;
  return render(count);
}
