"""`convlite bench`: convlite against PyTorch, ONNX Runtime, OpenVINO, LiteRT, ncnn and NumPy on this machine.

    shape.py    one line of shapes/*.txt -> a Shape, and its operands
    rivals/     one module a peer: a Shape -> calls to time
    worker.py   a process that holds one peer: prepares, verifies, times
    conduct.py  the parent: starts the workers, lets one run at a time, round robin
    report.py   results -> the printed table      picture.py   results -> one chart
    race.py     whole networks: the parent        contestant.py  a peer with one network, in its worker
    standings.py  their results -> the printed table and one chart
    bars.py     ratios -> bars in SVG             machine.py   what it ran on, and whether that was busy
    run.py      the command

It lives in the package and not in the checkout's bench/, because the command must work where only a wheel is
installed; bench/ holds what is about this project's own figures: committed results and the README's table.
"""
