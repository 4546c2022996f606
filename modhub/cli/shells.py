"""The scripts by which shells complete ``modhub``: each calls it with ``_MODHUB_COMPLETE``, for a proposal a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BASH: Final = """\
# modhub completion bash > ~/.local/share/bash-completion/completions/modhub
# or in ~/.bashrc: source <(modhub completion bash)
_modhub_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        # Without proposals readline completes names of files.
        [[ $line == '<files>' ]] || COMPREPLY+=("$line")
    done < <(COMP_WORDBREAKS="$COMP_WORDBREAKS" _MODHUB_COMPLETE=bash "${COMP_WORDS[0]}" \\
        "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    # A class follows a model, a value an equals sign.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _modhub_completion modhub
"""

_ZSH: Final = """\
#compdef modhub
# modhub completion zsh > ~/.zfunc/_modhub, with fpath+=~/.zfunc before compinit in ~/.zshrc
# or behind compinit: source <(modhub completion zsh)
_modhub() {
    local line files=
    local -a values shown
    for line in "${(@f)$(_MODHUB_COMPLETE=zsh ${words[1]} "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == '<files>' ]]; then files=yes
        elif [[ -n $line ]]; then
            values+=("${line%%$'\\t'*}")
            shown+=("${line/$'\\t'/  -- }")
        fi
    done
    (( ${#values} )) && compadd -l -d shown -S '' -a values
    [[ -n $files ]] && _files
    return 0
}
if [[ $funcstack[1] == _modhub ]]; then _modhub "$@"; else compdef _modhub modhub; fi
"""

_FISH: Final = """\
# modhub completion fish > ~/.config/fish/completions/modhub.fish
function __modhub_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    for line in (_MODHUB_COMPLETE=fish $words[1] $words[2..] "$typed" 2>/dev/null)
        if test "$line" = '<files>'
            __fish_complete_path "$typed"
        else
            echo $line
        end
    end
end
complete -c modhub -f -a '(__modhub_complete)'
"""

SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
