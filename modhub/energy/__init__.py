"""What work costs: watts, kWh and CO2e of any modhub work, each figure with its source.

``result`` is pure and has the equations. ``rapl``, ``nvml`` and ``counters`` make counters, which are values with one
function that reads; ``meter`` adds up their readings; ``machine`` finds the counters of this machine. Nothing here
starts a process, writes a file or talks to a network.
"""
