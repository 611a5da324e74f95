// Times of the week, and of the year.

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

// Whether the office is open at a moment, in milliseconds since 1970, UTC.
export function isOpen({ hours, holidays, utcOffsetMinutes, summerTime }, at) {
  const offset = utcOffsetMinutes + (summerTime && isSummer(at) ? 60 : 0);
  const local = at + offset * MINUTE;
  const days = Math.floor(local / DAY);
  if (holidays.has(new Date(days * DAY).toISOString().slice(0, 10))) return false;
  // 1970-01-01 was a Thursday.
  const today = hours.get(DAYS[(days + 3) % 7]);
  const minute = Math.floor((local % DAY) / MINUTE);
  return today !== undefined && today.from <= minute && minute < today.to;
}

// Europe's summer time (directive 2000/84/EC): from the last Sunday of March, 01:00 UTC, to the last of October.
function isSummer(at) {
  const year = new Date(at).getUTCFullYear();
  return lastSunday(year, 2) <= at && at < lastSunday(year, 9);
}

// 01:00 UTC on the last Sunday of a month that has 31 days; January is 0.
function lastSunday(year, month) {
  const last = new Date(Date.UTC(year, month, 31));
  return Date.UTC(year, month, 31 - last.getUTCDay(), 1);
}

// Minutes since midnight of `HH:MM`, up to `24:00`; undefined for anything else.
export function minuteOfDay(text) {
  const found = /^([0-9]{2}):([0-5][0-9])$/.exec(text);
  const minutes = found ? Number(found[1]) * 60 + Number(found[2]) : Infinity;
  return minutes <= 24 * 60 ? minutes : undefined;
}

// Whether there is such a day, written YYYY-MM-DD.
export function isDate(text) {
  if (typeof text !== 'string' || !/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
