"""Quotations out of the fortunes databases: those of authors who died before 1931, named below."""

import glob
import os
import random
import re

from passages import SLURS, eight_grams

# Their own words are in the public domain. Left out: translated classics of the East (the translations are recent), songs, the living.
AUTHORS = """
Abraham Lincoln|Alexander Hamilton|Alexander Pope|Alfred Tennyson|Alfred, Lord Tennyson|Andrew Jackson|Anthony Trollope|Aristotle|Artemus Ward
|Arthur Schopenhauer|Schopenhauer|Balzac|Honore de Balzac|Baruch Spinoza|Benjamin Disraeli|Disraeli|Ben Franklin|Benjamin Franklin|Ben Jonson
|Blaise Pascal|Pascal|Boswell|Charles Babbage|Charles Darwin|Charles Dickens|Charles Lamb|Chaucer|Christopher Marlowe|Cicero|Confucius
|Daniel Defoe|Daniel Webster|David Hume|Demosthenes|Diderot|Diogenes|Edgar Allan Poe|Edmund Burke|Edward Gibbon|Edward Young|Elbert Hubbard
|Emily Dickinson|Epictetus|Epicurus|Erasmus|Euripides|Finley Peter Dunne|Francis Bacon|Sir Francis Bacon|Frederick Douglass
|Frederick the Great|Friedrich Nietzsche|Nietzsche|Galileo|George Eliot|George Washington|Goethe|Johann Wolfgang von Goethe|H\\. Melville
|Herman Melville|Hegel|Heinrich Heine|Henry Adams|Henry David Thoreau|H\\. D\\. Thoreau|Thoreau|Henry Fielding|Henry James|Heraclitus|Herodotus
|Hippocrates|Homer|Horace|Horace Greeley|Horace Mann|Horace Walpole|Ibsen|Henrik Ibsen|Immanuel Kant|Isaac Newton|Sir Isaac Newton|Izaak Walton
|James Boswell|James Madison|James Russell Lowell|Jane Austen|Jean Paul|Jerome K\\. Jerome|John Adams|John Donne|John Dryden|John Heywood
|John Keats|John Locke|John Milton|Milton|John Quincy Adams|John Ruskin|John Stuart Mill|J\\. S\\. Mill|Jonathan Swift|Swift|Joseph Addison
|Joseph Conrad|Josh Billings|Jules Renard|Julius Caesar|Juvenal|La Bruyere|La Rochefoucauld|Lao Tze|Leibniz|Leo Tolstoy|Tolstoy|Leonardo da Vinci
|Lewis Carroll|Lewis Carrol|Livy|Lord Acton|Lord Byron|Byron|Lord Chesterfield|Lord Palmerston|Lord Tennyson|Louisa May Alcott|Lucretius|Lydia Child
|Machiavelli|Niccolo Machiavelli|Marcel Proust|Marcus Aurelius|Mark Twain|Martial|Martin Luther|Matthew Arnold|Michelangelo|Miguel de Cervantes
|Cervantes|Moliere|Montaigne|Michel de Montaigne|Montesquieu|Napoleon|Napoleon Bonaparte|Nathaniel Hawthorne|Oliver Cromwell|Oliver Goldsmith
|Oscar Wilde|Ovid|Patrick Henry|Percy Bysshe Shelley|Shelley|Phineas T\\. Barnum|P\\. T\\. Barnum|Plato|Pliny|Plutarch|Publilius Syrus|Publius
|Quintus Horatius Flaccus|Ralph Waldo Emerson|R\\. W\\. Emerson|Emerson|Richard Brinsley Sheridan|Robert Browning|Robert Burns|Robert Burton
|Robert G\\. Ingersoll|Robert Herrick|Robert Louis Stevenson|R\\. L\\. Stevenson|Rousseau|Jean Jacques Rousseau|Saint Augustine
|St\\. Augustine|Saki|H\\. H\\. Munro|Samuel Butler|Samuel Johnson|S\\. Johnson|Dr\\. Samuel Johnson|Dr\\. Johnson|Samuel Pepys|Samuel Taylor Coleridge
|Sarah Bernhardt|Seneca|Shakespeare|Wm\\. Shakespeare|William Shakespeare|W\\. Shakespeare|Sir Arthur Conan Doyle|Arthur Conan Doyle|Sherlock Holmes
|Sir Walter Raleigh|Sir Walter Scott|Walter Scott|Socrates|Sophocles|Soren Kierkegaard|Stendhal|Stephen Crane|Susan B\\. Anthony|Sydney Smith
|Tacitus|Talleyrand|Terence|Theodore Roosevelt|Thomas a Kempis|Thomas Aquinas|Thomas Babington Macaulay|Thomas Carlyle|Thomas Fuller|Thomas Gray
|Thomas Hardy|Thomas Hobbes|Thomas Huxley|Thomas H\\. Huxley|Thomas Henry Huxley|T\\. H\\. Huxley|Thomas Jefferson|Thomas Paine|Thomas Reid|Tom Paine|Victor Hugo|Virgil
|Vergil|Voltaire|Walt Whitman|Whitman|Walter Bagehot|Washington Irving|Wendell Phillips|William Blake|Blake|William Congreve|William Cowper
|William Hazlitt|William James|William Penn|William Pitt|William Wordsworth|Wordsworth|Woodrow Wilson|Xenophon|Leslie Stephen|James McNeill Whistler
|Ella Wheeler Wilcox|Edward FitzGerald|Omar Khayyam|Leigh Hunt|James Henry Leigh Hunt|James Henry Leight Hunt|Edward Lear|W\\. S\\. Gilbert
|Gilbert & Sullivan|Gilbert and Sullivan|Autobiography of Benjamin Franklin|The Rubaiyat of Omar Khayyam|Charles Kingsley
|[A-Z][a-z]+ [Pp]roverb|Old [A-Z]?[a-z]+ [Pp]roverb
"""
NAMED = re.compile(r"(?m)^-- ?(?:" + AUTHORS.replace("\n", "") + r")(?![A-Za-z]| [A-Z])")
NAMES = re.compile(r"(?m)^--")
# Jokes on an old name.
NOT_THEIRS = re.compile(r"stardate|\?\)$|@|copyright", re.I)


def all_quotations(folders):
    """Every entry of the databases, in the order of their files, without repetitions."""
    seen, out = set(), []
    for name in sorted(os.path.basename(p) for f in folders for p in glob.glob(f + "/usr/share/games/fortunes/*")):
        path = next(p for p in (f"{f}/usr/share/games/fortunes/{name}" for f in folders) if os.path.exists(p))
        if "." in name or os.path.isdir(path):
            continue
        with open(path, encoding="utf8", errors="replace") as f:
            for entry in f.read().split("\n%\n"):
                text = tidy(entry)
                key = re.sub(r"\W+", "", text.lower())[:80]
                if text and key not in seen:
                    seen.add(key)
                    out.append(text)
    return out


def tidy(entry):
    """Lines as they are, the name after two dashes on a line of its own without what stood before it."""
    text = re.sub(r".\x08", "", entry).expandtabs(8)
    text = re.sub(r"(?m)^\s+(--)", r"\1", text)
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def theirs(quotation):
    """Whether the one name under it is one of the authors."""
    return len(NAMES.findall(quotation)) == 1 and bool(NAMED.search(quotation)) and not NOT_THEIRS.search(quotation)


def quotations(folders, calibration):
    """Those that may be passed on and have no run of eight words in common with the calibration texts, mixed."""
    known = set().union(*(eight_grams(t) for t in calibration))
    out = [q for q in all_quotations(folders) if theirs(q) and not SLURS.search(q) and len(q) <= 1500]
    out = [q for q in out if not eight_grams(q) & known]
    random.Random(1).shuffle(out)
    return out
