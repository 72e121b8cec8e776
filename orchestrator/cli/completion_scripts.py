"""The completion scripts. Each asks `deployctl __complete` for the candidates, one a line: the word, a tab, its help.

The lines `:files` and `:folders` tell the shell to complete paths.
"""

from __future__ import annotations

FILES = ":files"
FOLDERS = ":folders"

BASH = r"""# bash completion of deployctl. Add this to ~/.bashrc:  source <(deployctl completion bash)
_deployctl() {
    local word help current=${COMP_WORDS[COMP_CWORD]} IFS=$'\n'
    if [[ $current == "=" ]]; then current=""; fi
    COMPREPLY=()
    while IFS=$'\t' read -r word help; do
        case $word in
            :files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$current")) ;;
            :folders) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$current")) ;;
            *) COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _deployctl deployctl
"""

ZSH = r"""#compdef deployctl
# zsh completion of deployctl. Add this to ~/.zshrc, after compinit:  source <(deployctl completion zsh)
_deployctl() {
    local line word
    local -a described
    for line in "${(@f)$(${words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $line in
            '') ;;
            :files) compset -P '--*='; _files ;;
            :folders) compset -P '--*='; _files -/ ;;
            *$'\t'*) described+=("${word//:/\\:}:${line#*$'\t'}") ;;
            *) described+=("${word//:/\\:}") ;;
        esac
    done
    if (( $#described )); then _describe -V deployctl described; fi
}
if [[ ${funcstack[1]} == _deployctl ]]; then _deployctl "$@"; else compdef _deployctl deployctl; fi
"""

FISH = r"""# fish completion of deployctl. Add this to ~/.config/fish/config.fish:  deployctl completion fish | source
function __deployctl_complete
    set -l current (commandline -ct)
    set -l words (commandline -opc)
    for line in (command $words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':folders'
                __fish_complete_directories "$current"
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c deployctl -f -a '(__deployctl_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
