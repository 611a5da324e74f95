// Reads the settings strictly and to the end: whoever has made three mistakes hears of three, each with the place where it is.

import { DAYS, isDate, minuteOfDay } from './hours.js';

const hoursSchema = { type: 'string', pattern: '^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$' };
const seconds = { type: 'integer', minimum: 0, maximum: 604800 };

export const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  additionalProperties: false,
  required: ['groups', 'hours', 'outside'],
  properties: {
    groups: {
      type: 'array',
      minItems: 1,
      items: { type: 'string' },
      description: 'Whom it is about: DNs or common names of groups.',
    },
    hours: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      properties: Object.fromEntries(DAYS.map((day) => [day, hoursSchema])),
      description: 'When the office is open, e.g. mon = "08:00-18:30". Closed on days that are not named.',
    },
    holidays: {
      type: 'array',
      items: { type: 'string', format: 'date' },
      description: 'Days on which it is closed, e.g. "2026-12-25".',
    },
    'utc-offset-minutes': {
      type: 'integer',
      minimum: -840,
      maximum: 840,
      description: 'How much the local time is ahead of UTC in winter; 0 unless given.',
    },
    'summer-time': { type: 'boolean', description: "One hour more in Europe's summer time; false unless given." },
    outside: { enum: ['challenge', 'block'], description: 'What happens outside of these hours.' },
    connector: { type: 'string', description: 'With challenge: the connector that asks.' },
    'remember-seconds': { ...seconds, description: 'With challenge: how long an approval also counts; 0 unless given.' },
    'timeout-seconds': { ...seconds, description: 'With challenge: how long the access waits; 0 leaves it to the gateway.' },
  },
};

const OF_CHALLENGE = ['connector', 'remember-seconds', 'timeout-seconds'];

// The settings, and what is wrong with them; they are worth nothing unless that is nothing.
export function readSettings(given) {
  const problems = [];
  const wrong = (setting, message) => void problems.push({ setting, message });
  const known = Object.keys(schema.properties);
  for (const key of Object.keys(given).filter((key) => !known.includes(key))) {
    wrong(`/${escaped(key)}`, `is not known here; there are ${known.join(', ')}`);
  }

  const settings = {
    groups: list(given.groups, '/groups', wrong, (group) => isText(group), 'has to be text that is not empty'),
    hours: readHours(given.hours, wrong),
    holidays: new Set(
      list(given.holidays ?? [], '/holidays', wrong, isDate, 'has to be a day that there is, like 2026-12-25'),
    ),
    utcOffsetMinutes: whole(given, 'utc-offset-minutes', -840, 840, wrong),
    summerTime: given['summer-time'] ?? false,
    challenge: readChallenge(given, wrong),
  };
  if (Array.isArray(given.groups) && given.groups.length === 0) wrong('/groups', 'has to name one group at least');
  if (typeof settings.summerTime !== 'boolean') wrong('/summer-time', 'has to be true or false');
  return { settings, problems };
}

function readHours(given, wrong) {
  const hours = new Map();
  if (!isTable(given) || Object.keys(given).length === 0) {
    wrong('/hours', 'has to be a table of days, like { mon = "08:00-18:30" }');
    return hours;
  }
  for (const [day, text] of Object.entries(given)) {
    const [from, to, ...rest] = typeof text === 'string' ? text.split('-').map(minuteOfDay) : [];
    if (!DAYS.includes(day)) wrong(`/hours/${escaped(day)}`, `is no day; there are ${DAYS.join(', ')}`);
    else if (from === undefined || to === undefined || rest.length > 0) {
      wrong(`/hours/${day}`, 'has to be two times of day, like 08:00-18:30');
    } else if (from >= to) wrong(`/hours/${day}`, 'ends before it has begun; hours end at 24:00 at the latest');
    hours.set(day, { from, to });
  }
  return hours;
}

function readChallenge(given, wrong) {
  if (given.outside === 'challenge') {
    if (!isText(given.connector)) wrong('/connector', 'has to be there with `challenge`, and to name a connector');
    return {
      connector: given.connector,
      rememberSeconds: whole(given, 'remember-seconds', 0, 604800, wrong),
      timeoutSeconds: whole(given, 'timeout-seconds', 0, 604800, wrong),
    };
  }
  if (given.outside !== 'block') wrong('/outside', 'has to be challenge or block');
  else for (const key of OF_CHALLENGE.filter((key) => key in given)) wrong(`/${key}`, 'means nothing with `block`');
  return undefined;
}

function list(given, pointer, wrong, isRight, message) {
  if (!Array.isArray(given)) {
    wrong(pointer, 'has to be a list');
    return [];
  }
  given.forEach((element, index) => isRight(element) || wrong(`${pointer}/${index}`, message));
  return given;
}

function whole(given, key, least, most, wrong) {
  const number = given[key] ?? 0;
  if (!Number.isInteger(number) || number < least || number > most) {
    wrong(`/${key}`, `has to be a whole number from ${least} to ${most}`);
  }
  return number;
}

function isText(value) {
  return typeof value === 'string' && value.trim() !== '';
}

function isTable(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// A step of a JSON Pointer (RFC 6901, section 3).
function escaped(key) {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
