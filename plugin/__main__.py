"""What Pulumi starts to use the components from a program in another language: see docs/languages.md."""

import sys

from spotkeeper.plugin import main

if __name__ == "__main__":  # its analyser imports this file once more
    main(sys.argv[1:])
