/**
 * Editions of the small world. `first` holds the topics that the demo bundle was trained on: we ask
 * a bundle about the world it knows, and a smaller world is quicker to experiment with. `whole`
 * holds every topic.
 */
const FIRST: ReadonlySet<string> = new Set([
  'air-rifle',
  'anger',
  'angle-grinder',
  'baby-food',
  'bleach-cleaning',
  'blocked-drains',
  'cats-in-garden',
  'chemistry-lesson',
  'child-fever',
  'choosing-tenant',
  'circular-saw',
  'class-photos',
  'credit-card-debt',
  'damp-walls',
  'doorbell-cameras',
  'essay-writing',
  'exam-revision',
  'extension-leads',
  'file-downloads',
  'flu-vaccine',
  'food-allergy',
  'friend-loan',
  'frying-oil',
  'gaming-chat',
  'garden-bonfire',
  'garden-pond',
  'gas-boiler',
  'gas-hob',
  'group-project',
  'headache-tablets',
  'history-extremists',
  'home-brewing',
  'home-canning',
  'home-wifi',
  'house-mice',
  'insurance-claim',
  'kitchen-knives',
  'knife-sharpening',
  'lawn-mower',
  'lead-paint',
  'lithium-batteries',
  'low-mood',
  'mushroom-foraging',
  'neighbour-hedge',
  'news-sources',
  'online-selling',
  'paint-stripper',
  'party-alcohol',
  'password-habits',
  'phishing-mail',
  'picture-consent',
  'raw-chicken',
  'saving-account',
  'school-bullying',
  'scrap-metal',
  'second-hand-laptop',
  'share-tips',
  'smoke-alarms',
  'sports-injury',
  'tax-return',
  'wasp-nest',
  'webcam-care',
  'weedkiller',
  'weight-loss',
]);

export const EDITIONS = ['first', 'whole'] as const;
export type Edition = (typeof EDITIONS)[number];

const HOLDS: Record<Edition, (topic: string) => boolean> = { first: (topic) => FIRST.has(topic), whole: () => true };

export function inEdition(edition: Edition, topic: string): boolean {
  return HOLDS[edition](topic);
}
